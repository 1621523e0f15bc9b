import {
  createSourceEventStream,
  executeRootSelectionSet,
  executeSubscriptionEvent,
  Kind,
  validateExecutionArgs,
} from 'graphql'
import type {
  ExecutionResult,
  GraphQLError,
  GraphQLSchema,
  OperationTypeNode,
  ValidatedExecutionArgs,
  ValidatedSubscriptionArgs,
} from 'graphql'
import { costOf } from './cost.ts'
import { withSpan } from '../observability/tracing.ts'
import { tooComplex } from './document-limits.ts'
import { createDocuments } from './documents.ts'
import type { HttpLimits } from './limits.ts'

/** What a client sends, whatever it sends it through. */
export type OperationRequest = {
  query: string
  operationName?: string | null
  variables?: Record<string, unknown> | null
}

/** An operation that is known to be valid and within its limits, with its variables coerced. */
export type Operation = {
  name: string | null
  type: OperationTypeNode
  /** The first field at the root, as the schema names it. */
  rootField: string
  args: ValidatedExecutionArgs
}

/** Makes of anything thrown what the client may see of it. */
export type Format = (error: unknown) => GraphQLError

/** The way from a request to its answers, the same for all transports. No method here rejects or throws. */
export type Operations = {
  /** The operation that is asked for, or what is wrong with it. */
  prepare(request: OperationRequest): Operation | readonly unknown[]
  /** The answer to a query or mutation. */
  execute(operation: Operation, context: object, format: Format): Promise<ExecutionResult>
  /** Starts a subscription: its source of events, or why there is none. */
  open(operation: Operation, context: object, format: Format): Promise<AsyncIterable<unknown> | readonly GraphQLError[]>
  /** The answer to one item of a subscription's source. */
  executeEvent(
    operation: Operation,
    item: unknown,
    contextFor: () => object | Promise<object>,
    format: Format,
  ): Promise<ExecutionResult>
}

/** The operations of one schema. */
export function createOperations(schema: GraphQLSchema, limits: HttpLimits): Operations {
  const documents = createDocuments(schema, limits)

  function prepareOrThrow({ query, operationName, variables }: OperationRequest): Operation | readonly unknown[] {
    const document = documents.load(query)
    if (!('kind' in document)) return document
    const args = validateExecutionArgs({ schema, document, operationName, variableValues: variables })
    if (!('operation' in args)) return args
    const cost = costOf(args.operation, {
      schema,
      fragments: args.fragmentDefinitions,
      variables: args.variableValues.coerced,
      defaultPageSize: limits.defaultPageSize,
      maxPageSize: limits.maxPageSize,
    })
    if (cost > limits.maxCost) {
      return [tooComplex(`it asks for about ${cost} objects, and the limit is ${limits.maxCost}`, args.operation)]
    }
    return { name: args.operation.name?.value ?? null, type: args.operation.operation, rootField: rootField(args), args }
  }

  return {
    prepare(request) {
      try {
        return prepareOrThrow(request)
      } catch (error) {
        return [error]
      }
    },

    execute: (operation, context, format) =>
      traced(operation, async () => {
        try {
          return formatted(await executeRootSelectionSet({ ...operation.args, contextValue: context }), format)
        } catch (error) {
          return { errors: [format(error)] }
        }
      }),

    open: (operation, context, format) =>
      traced(operation, async () => {
        try {
          const source = await createSourceEventStream(subscriptionArgs(operation, context))
          return Symbol.asyncIterator in source ? source : (source.errors ?? []).map(format)
        } catch (error) {
          return [format(error)]
        }
      }),

    async executeEvent(operation, item, contextFor, format) {
      try {
        const args = { ...subscriptionArgs(operation, await contextFor()), rootValue: item }
        return formatted(await executeSubscriptionEvent(args), format)
      } catch (error) {
        return { errors: [format(error)] }
      }
    },
  }
}

/** Runs one operation in a span that names it, and nothing of what it asks for. */
function traced<Result>({ name, type }: Operation, run: () => Promise<Result>): Promise<Result> {
  return withSpan(
    `graphql ${type}`,
    { 'graphql.operation.type': type, ...(name === null ? {} : { 'graphql.operation.name': name }) },
    run,
  )
}

/** The field at the root of a subscription, which has one; its name is the schema's and not the client's. */
function rootField({ operation, fragmentDefinitions }: ValidatedExecutionArgs): string {
  let [selection] = operation.selectionSet.selections
  for (;;) {
    if (selection?.kind === Kind.FIELD) return selection.name.value
    const set =
      selection?.kind === Kind.INLINE_FRAGMENT
        ? selection.selectionSet
        : fragmentDefinitions?.[selection?.name.value ?? '']?.selectionSet
    selection = set?.selections[0]
    if (selection === undefined) return 'other'
  }
}

function subscriptionArgs(operation: Operation, contextValue: object): ValidatedSubscriptionArgs {
  return { ...(operation.args as ValidatedSubscriptionArgs), contextValue }
}

function formatted(result: ExecutionResult, format: Format): ExecutionResult {
  return result.errors ? { ...result, errors: result.errors.map(format) } : result
}
