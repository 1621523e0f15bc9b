import { GraphQLError } from 'graphql'
import type { ASTNode, FragmentDefinitionNode, SelectionSetNode, ValidationContext, ValidationRule } from 'graphql'
import { MaruError } from '../errors.ts'
import type { HttpLimits } from './limits.ts'

/**
 * The rules that a document must pass before it is validated in earnest. They look at its shape only, follow each
 * fragment once and tolerate everything that validation refuses later, such as fragments that contain themselves.
 */
export function documentLimitRules(limits: HttpLimits): ValidationRule[] {
  return [
    depthRule(limits.maxDepth),
    rootFieldsRule(limits.maxRootFields),
    countRule('Field', (node) => 'alias' in node && node.alias !== undefined, 'aliases', limits.maxAliases),
    countRule('Directive', () => true, 'directives', limits.maxDirectives),
  ]
}

/** An error for a document or operation that is beyond a limit, with the limit in its message. */
export function tooComplex(reason: string, nodes?: ASTNode): GraphQLError {
  const message = `The query is too complex: ${reason}.`
  return new GraphQLError(message, { nodes, originalError: new MaruError('QUERY_TOO_COMPLEX', message) })
}

function depthRule(limit: number): ValidationRule {
  return (context) => {
    const depthOf = measure(context, (inner, isField) => inner + (isField ? 1 : 0), Math.max)
    return {
      OperationDefinition(node) {
        if (depthOf(node.selectionSet) <= limit) return
        context.reportError(tooComplex(`it is more than ${limit} fields deep`, node))
      },
    }
  }
}

function rootFieldsRule(limit: number): ValidationRule {
  return (context) => {
    const rootFieldsOf = measure(context, (inner, isField) => (isField ? 1 : inner), (one, other) => one + other)
    return {
      OperationDefinition(node) {
        if (rootFieldsOf(node.selectionSet) <= limit) return
        context.reportError(tooComplex(`it has more than ${limit} root fields`, node))
      },
    }
  }
}

function countRule(
  kind: 'Field' | 'Directive',
  counts: (node: ASTNode) => boolean,
  what: string,
  limit: number,
): ValidationRule {
  return (context) => {
    let count = 0
    return {
      [kind](node: ASTNode) {
        if (!counts(node) || ++count !== limit + 1) return
        context.reportError(tooComplex(`it has more than ${limit} ${what}`, node))
      },
    }
  }
}

/**
 * A function that folds a selection set: `weigh` makes a selection's value of its contents' value, `combine` adds the
 * selections up. Each fragment is folded once, so that fragments which spread others twice take no longer than others.
 */
function measure(
  context: ValidationContext,
  weigh: (inner: number, isField: boolean) => number,
  combine: (one: number, other: number) => number,
): (set: SelectionSetNode | undefined) => number {
  const fragments = new Map<FragmentDefinitionNode, number>()

  const ofFragment = (fragment: FragmentDefinitionNode | null | undefined): number => {
    if (!fragment) return 0
    const known = fragments.get(fragment)
    if (known !== undefined) return known
    // Stands while the fragment is being folded, so that one which contains itself comes to an end.
    fragments.set(fragment, 0)
    const value = ofSet(fragment.selectionSet)
    fragments.set(fragment, value)
    return value
  }

  const ofSet = (set: SelectionSetNode | undefined): number => {
    let value = 0
    for (const selection of set?.selections ?? []) {
      if (selection.kind === 'FragmentSpread') {
        value = combine(value, weigh(ofFragment(context.getFragment(selection.name.value)), false))
      } else if (selection.kind === 'InlineFragment') {
        value = combine(value, weigh(ofSet(selection.selectionSet), false))
      } else {
        const inner = isIntrospection(selection.name.value) ? 0 : ofSet(selection.selectionSet)
        value = combine(value, weigh(inner, true))
      }
    }
    return value
  }

  return ofSet
}

/** Whether a field asks about the schema itself. */
export function isIntrospection(fieldName: string): boolean {
  return fieldName === '__schema' || fieldName === '__type'
}
