import {
  type ASTNode,
  getNamedType,
  type GraphQLCompositeType,
  isAbstractType,
  isCompositeType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  type ValidatedExecutionArgs,
  visit,
} from 'graphql'

/** The argument that says where a subscription resumes. It changes what is told first, and no answer to an event. */
const resumeArgument = 'after'

/** What was found out about an operation, which is the same object for everybody who sends the same text. */
const known = new WeakMap<object, { dependsOnViewer: boolean; resumeVariables: ReadonlySet<string> }>()

const facts = (args: ValidatedExecutionArgs) => {
  let found = known.get(args.operation)
  if (found === undefined) {
    found = { dependsOnViewer: selectsOfViewer(args), resumeVariables: findResumeVariables(args) }
    known.set(args.operation, found)
  }
  return found
}

/** Whether an operation selects a field that depends on who asks: one that is marked so in the schema. */
export const dependsOnViewer = (args: ValidatedExecutionArgs): boolean => facts(args).dependsOnViewer

/** The variables that say where a subscription resumes, and nothing else. */
export const resumeVariables = (args: ValidatedExecutionArgs): ReadonlySet<string> => facts(args).resumeVariables

function selectsOfViewer({ schema, operation, fragmentDefinitions }: ValidatedExecutionArgs): boolean {
  /** Fragments that were looked into: they may be spread more often than anybody wants to read them. */
  const looked = new Set<string>()
  function look(set: SelectionSetNode, type: GraphQLCompositeType): boolean {
    return set.selections.some((selection) => {
      if (selection.kind === Kind.FIELD) {
        const name = selection.name.value
        // What an interface says of a field is true of none of its types: each has its own.
        const types = isAbstractType(type) ? [type, ...schema.getPossibleTypes(type)] : [type]
        return types.some((each) => {
          const field = 'getFields' in each ? each.getFields()[name] : undefined
          if (field === undefined) return false
          if (field.extensions.dependsOnViewer === true) return true
          const inner = getNamedType(field.type)
          return selection.selectionSet !== undefined && isCompositeType(inner) && look(selection.selectionSet, inner)
        })
      }
      if (selection.kind === Kind.FRAGMENT_SPREAD) {
        if (looked.has(selection.name.value)) return false
        looked.add(selection.name.value)
      }
      const fragment = selection.kind === Kind.FRAGMENT_SPREAD ? fragmentDefinitions[selection.name.value] : selection
      const condition = fragment?.typeCondition?.name.value
      if (fragment === undefined) return false
      const narrowed = condition === undefined ? type : schema.getType(condition)
      return isCompositeType(narrowed) && look(fragment.selectionSet, narrowed)
    })
  }
  const root = schema.getRootType(operation.operation)
  return isObjectType(root) && look(operation.selectionSet, root)
}

function findResumeVariables({ operation, fragmentDefinitions }: ValidatedExecutionArgs): ReadonlySet<string> {
  const uses = new Map<string, number>()
  const count = (node: ASTNode) =>
    void visit(node, {
      Variable: ({ name }) => void uses.set(name.value, (uses.get(name.value) ?? 0) + 1),
    })
  count(operation.selectionSet)
  operation.directives?.forEach(count)
  Object.values(fragmentDefinitions).forEach(count)
  // Where the field at the root stands in a fragment nobody is grouped by this, and nothing is wrong.
  const resume = operation.selectionSet.selections.flatMap((selection) => {
    const value =
      selection.kind === Kind.FIELD
        ? selection.arguments?.find(({ name }) => name.value === resumeArgument)?.value
        : undefined
    return value?.kind === Kind.VARIABLE ? [value.name.value] : []
  })
  return new Set(resume.filter((name) => uses.get(name) === 1))
}
