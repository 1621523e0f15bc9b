import { getNamedType, getNullableType, isCompositeType, isListType, typeFromAST } from 'graphql'
import type {
  FieldNode,
  FragmentDefinitionNode,
  GraphQLCompositeType,
  GraphQLField,
  GraphQLSchema,
  OperationDefinitionNode,
  SelectionSetNode,
  ValueNode,
} from 'graphql'
import { isIntrospection } from './document-limits.ts'

/** A list whose length nothing tells, nor its field: mentions, reactions, attachments and link previews of one message. */
const assumedListLength = 3
/** What a whole introspection query takes, compared with objects from the store. */
const introspectionCost = 1_000

export type CostOptions = {
  schema: GraphQLSchema
  fragments: Record<string, FragmentDefinitionNode>
  /** As they are after coercion, defaults filled in. */
  variables: Record<string, unknown>
  defaultPageSize: number
  maxPageSize: number
}

/**
 * How many objects an operation can make the server load: one for each field that gives an object, as often as the
 * lists around it are long. A list is as long as `first` or `last` says, there or on the connection around it, or as
 * the list of ids that it is asked with. The operation must be valid.
 */
export function costOf(operation: OperationDefinitionNode, options: CostOptions): number {
  const { schema, fragments, variables } = options
  /** By fragment and page size, so that fragments which spread others twice cost no more than their text. */
  const known = new Map<string, number>()

  function ofSet(set: SelectionSetNode, parent: GraphQLCompositeType, pageSize: number | null): number {
    let cost = 0
    for (const selection of set.selections) {
      if (selection.kind === 'Field') cost += ofField(selection, parent, pageSize)
      else if (selection.kind === 'InlineFragment') {
        const type = selection.typeCondition && typeFromAST(schema, selection.typeCondition)
        cost += ofSet(selection.selectionSet, isCompositeType(type) ? type : parent, pageSize)
      } else cost += ofFragment(selection.name.value, pageSize)
    }
    return cost
  }

  function ofFragment(name: string, pageSize: number | null): number {
    const key = `${name} ${pageSize}`
    const before = known.get(key)
    if (before !== undefined) return before
    const fragment = fragments[name]
    const type = fragment && typeFromAST(schema, fragment.typeCondition)
    const cost = fragment && isCompositeType(type) ? ofSet(fragment.selectionSet, type, pageSize) : 0
    known.set(key, cost)
    return cost
  }

  function ofField(node: FieldNode, parent: GraphQLCompositeType, pageSize: number | null): number {
    if (isIntrospection(node.name.value)) return introspectionCost
    const field = schema.getField(parent, node.name.value)
    if (!field || !node.selectionSet) return 0
    const type = getNamedType(field.type)
    if (!isCompositeType(type)) return 0
    const requested = requestedLength(field, node)
    if (isListType(getNullableType(field.type))) {
      return (requested ?? pageSize ?? statedLength(field) ?? assumedListLength) * (1 + ofSet(node.selectionSet, type, null))
    }
    return 1 + ofSet(node.selectionSet, type, requested)
  }

  /** What a field says of a list that is longer, and takes no `first`. */
  function statedLength({ extensions }: GraphQLField<unknown, unknown>): number | null {
    return typeof extensions.listLength === 'number' ? extensions.listLength : null
  }

  function requestedLength(field: GraphQLField<unknown, unknown>, node: FieldNode): number | null {
    let isPaged = false
    let requested = -1
    for (const argument of field.args) {
      const value = node.arguments?.find(({ name }) => name.value === argument.name)?.value
      if (argument.name === 'first' || argument.name === 'last') {
        isPaged = true
        requested = Math.max(requested, value ? numberOf(value) : -1)
      } else if (value && isListType(getNullableType(argument.type))) {
        requested = Math.max(requested, lengthOf(value))
      }
    }
    if (requested === -1) return isPaged ? options.defaultPageSize : null
    return Math.min(requested, options.maxPageSize)
  }

  function numberOf(node: ValueNode): number {
    const value = node.kind === 'IntValue' ? Number(node.value) : valueOf(node)
    return typeof value === 'number' && value >= 0 ? value : -1
  }

  function lengthOf(node: ValueNode): number {
    const value = node.kind === 'ListValue' ? node.values : valueOf(node)
    return Array.isArray(value) ? value.length : -1
  }

  function valueOf(node: ValueNode): unknown {
    return node.kind === 'Variable' ? variables[node.name.value] : undefined
  }

  const root = schema.getRootType(operation.operation)
  return root ? ofSet(operation.selectionSet, root, null) : 0
}
