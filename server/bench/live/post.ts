import { Agent, request } from 'node:http'

/** Posts over connections that are kept. */
export type Poster = {
  /** Resolves with the answer, whole; throws where its status is not one of success. */
  post(path: string, body: string, headers?: Record<string, string>): Promise<string>
  close(): void
}

/** @param port Of this machine. */
export function createPoster(port: number): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000 })
  const post: Poster['post'] = (path, body, headers = {}) =>
    new Promise((resolve, reject) => {
      const length = { 'content-length': Buffer.byteLength(body) }
      const options = { host: '127.0.0.1', port, path, method: 'POST', agent, headers: { ...headers, ...length } }
      const sent = request(options, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => {
          text += chunk
        })
        response.on('end', () => {
          if (response.statusCode! < 300 || text.startsWith('{')) resolve(text)
          else reject(new Error(`${path} answered ${response.statusCode}: ${text}`))
        })
      })
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed a connection that it found idle for too long, while this was on its way.
        if (sent.reusedSocket && error.code === 'ECONNRESET') resolve(post(path, body, headers))
        else reject(error)
      })
      sent.end(body)
    })
  return {
    post,
    close: () => agent.destroy(),
  }
}

/** Runs one GraphQL operation; throws the first error of the answer. */
export async function runOperation<Data>(
  { post }: Poster,
  query: string,
  variables: object = {},
  token?: string,
): Promise<Data> {
  const text = await post('/graphql', JSON.stringify({ query, variables }), {
    'content-type': 'application/json',
    accept: 'application/json',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  })
  const answer = JSON.parse(text) as { data: Data; errors?: { message: string }[] }
  if (answer.errors !== undefined) throw new Error(answer.errors[0]!.message)
  return answer.data
}
