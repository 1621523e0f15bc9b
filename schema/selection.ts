import { type GraphQLResolveInfo, Kind } from 'graphql'

/** What is known of an object from its id alone. */
const known = new Set(['id', '__typename'])

/** Whether nothing but the id of an object is asked for: then it need not be loaded. */
export const asksOnlyForId = ({ fieldNodes }: GraphQLResolveInfo): boolean =>
  fieldNodes.every(({ selectionSet }) =>
    selectionSet?.selections.every((selection) => selection.kind === Kind.FIELD && known.has(selection.name.value)),
  )
