/**
 * An operation as text, with the types of its result and variables. Those exist for the compiler only: nothing is ever
 * stored under `__types`.
 */
export type TypedDocument<Result, Variables> = {
  readonly name: string
  readonly text: string
  readonly __types?: (variables: Variables) => Result
}

/** The arguments after a document: its variables may be left out where it requires none. */
export type VariablesAnd<Variables, Options> = {} extends Variables
  ? [variables?: Variables, options?: Options]
  : [variables: Variables, options?: Options]
