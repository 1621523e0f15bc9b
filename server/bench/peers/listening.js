/** Listens on a free port of this machine and tells it to whoever started this process, as one line of JSON. */
export function listening(server) {
  server.listen(0, '127.0.0.1', 511, () => {
    process.stdout.write(`${JSON.stringify({ port: server.address().port })}\n`)
  })
}

/** Answers `POST /publish` by handing its body on, as text; nothing waits for whom it reaches. */
export function publishing(broadcast) {
  return (request, response) => {
    if (request.method !== 'POST' || request.url !== '/publish') return response.writeHead(404).end()
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      broadcast(Buffer.concat(chunks).toString())
      response.writeHead(204).end()
    })
  }
}
