import type { TypedDocument } from './document.ts'
import { errorFromAnswer, type GraphQLErrorMessage, MaruClientError, networkError } from './errors.ts'
import { freshToken, type TokenSource } from './token.ts'

export type HttpOptions = {
  /** The address of the API: https://chat.example.com/graphql. */
  url: string
  token?: TokenSource
  /** Default: the global one. */
  fetch?: typeof globalThis.fetch
  /** After so long without an answer a request fails with NETWORK. Default 30 s. */
  timeoutMs?: number
  /** Called when the server refuses the token and no other is to be had: show the sign-in page. */
  onAuthExpired?: () => void
}

export type RequestOptions = {
  signal?: AbortSignal
}

/** Runs a query or mutation and gives its data, or throws a MaruClientError. */
export type Request = <Result, Variables>(
  document: TypedDocument<Result, Variables>,
  variables: Variables,
  options?: RequestOptions,
) => Promise<Result>

/** GraphQL over HTTP. A refused token is replaced and the request made again, once; nothing else is repeated. */
export function createRequest(options: HttpOptions): Request {
  const { token: source = () => null } = options

  return async (document, variables, { signal } = {}) => {
    const token = await source()
    try {
      return await post(options, document, variables, token, signal)
    } catch (error) {
      if (!token || !isUnauthenticated(error)) throw error
      const fresh = await freshToken(source, token).catch((cause) => {
        if (isUnauthenticated(cause)) options.onAuthExpired?.()
        throw cause
      })
      return await post(options, document, variables, fresh, signal)
    }
  }
}

async function post<Result, Variables>(
  { url, fetch = globalThis.fetch, timeoutMs = 30_000 }: HttpOptions,
  document: TypedDocument<Result, Variables>,
  variables: Variables,
  token: string | null | undefined,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/graphql-response+json, application/json;q=0.9',
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      body: JSON.stringify({ query: document.text, operationName: document.name, variables }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    })
    return await readData<Result>(response)
  } catch (error) {
    if (signal?.aborted || error instanceof MaruClientError) throw error
    throw networkError(timeout.aborted ? `No answer within ${timeoutMs} ms.` : 'The server cannot be reached.', error)
  }
}

type Answer<Result> = { data?: Result | null; errors?: readonly GraphQLErrorMessage[] }

async function readData<Result>(response: Response): Promise<Result> {
  // A proxy in between answers with a page of its own when the server is away.
  if (!/\bjson\b/.test(response.headers.get('content-type') ?? '')) {
    throw notMaru(response)
  }
  const { data, errors } = (await response.json()) as Answer<Result>
  if (errors?.length) throw errorFromAnswer(errors)
  if (!data) throw notMaru(response)
  return data
}

const notMaru = ({ status }: Response) => networkError(`Something other than Maru answered, with status ${status}.`)

function isUnauthenticated(error: unknown): boolean {
  return error instanceof MaruClientError && error.code === 'UNAUTHENTICATED'
}
