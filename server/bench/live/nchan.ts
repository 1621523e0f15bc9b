import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageJson } from './peer-sides.ts'
import { createPoster } from './post.ts'
import { childrenOf, startProgram } from './processes.ts'
import type { Side } from './side.ts'

const program = '/usr/sbin/nginx'
const module = '/usr/lib/nginx/modules/ngx_nchan_module.so'
const installation = 'apt-get install --yes --no-install-recommends nginx libnginx-mod-nchan'

/**
 * nginx with nchan and one worker, as https://nchan.io/ shows it: a location to publish to, and one to subscribe at by
 * WebSocket. A new subscriber is told what is new; the default would begin with what is kept.
 */
const configuration = (folder: string, port: number) => `
load_module ${module};
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  nchan_shared_memory_size 128M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /sub {
      nchan_subscriber websocket;
      nchan_channel_id channel;
      nchan_subscriber_first_message newest;
    }
    location = /pub {
      nchan_publisher;
      nchan_channel_id channel;
    }
  }
}
`

/** Starts nchan on the core of the servers. Throws with the line that installs it where it is not there. */
export async function startNchan(): Promise<Side> {
  if (!existsSync(program) || !existsSync(module)) install()
  const folder = await mkdtemp(join(tmpdir(), 'maru-bench-nchan-'))
  const port = await findFreePort()
  const file = join(folder, 'nginx.conf')
  // As root its worker would become somebody who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;\n' : ''
  await writeFile(file, user + configuration(folder, port))
  const args = ['-p', folder, '-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;']
  const server = startProgram(program, args, { place: 'server' })
  const poster = createPoster(port)
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null)
    if (answer !== null) break
    if (attempt === 100 || server.child.exitCode !== null) throw new Error('nginx did not start.')
    await sleep(50)
  }
  return {
    name: 'nchan (nginx)',
    pids: () => [server.pid, ...childrenOf(server.pid)],
    scripts: (sockets) => Array.from({ length: sockets }, () => ({ url: `http://127.0.0.1:${port}/sub`, says: [] })),
    publish: (content) => poster.post('/pub', messageJson(content)),
    collectGarbage: () => {},
    async stop() {
      poster.close()
      await server.end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function install(): void {
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
  if (!isDebian || process.getuid?.() !== 0) {
    throw new Error(`The comparison with nchan needs nginx with it (${installation}), or --peers without it.`)
  }
  process.stderr.write(`The comparison with nchan needs nginx with it: ${installation}\n`)
  // The package would start a server of its own, which nobody here has asked for.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  execFileSync('apt-get', ['update'], { stdio: ['ignore', 'ignore', 'inherit'], env })
  execFileSync('apt-get', installation.split(' ').slice(1), { stdio: ['ignore', 'ignore', 'inherit'], env })
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
