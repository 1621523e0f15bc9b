import { expect, test } from 'vitest'
import { createMetrics } from './metrics.ts'

const ours = (body: string) => body.split('\n').filter((line) => line.startsWith('maru_'))

test('what was counted is rendered in the format of Prometheus', async () => {
  const metrics = createMetrics()
  metrics.httpRequests.inc({ route: '/graphql', status: 200 })
  metrics.operations.inc({ type: 'mutation', code: 'CONFLICT' }, 2)
  metrics.operationSeconds.observe({ type: 'query' }, 0.003)
  metrics.subscriptionsActive.inc({ field: 'messages' })
  metrics.sendBatchSize.observe(64)
  const { contentType, body } = await metrics.render()
  expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  expect(ours(body)).toEqual(
    expect.arrayContaining([
      'maru_http_requests_total{route="/graphql",status="200"} 1',
      'maru_operations_total{type="mutation",code="CONFLICT"} 2',
      'maru_operation_duration_seconds_bucket{le="0.005",type="query"} 1',
      'maru_subscriptions_active{field="messages"} 1',
      'maru_send_batch_size_bucket{le="32"} 0',
      'maru_send_batch_size_bucket{le="64"} 1',
      'maru_sockets_open 0',
      'maru_messages_sent_total 0',
    ]),
  )
})

test('the process tells of itself too, its event loop included', async () => {
  const { body } = await createMetrics().render()
  const names = ['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes', 'process_cpu_seconds_total']
  for (const name of names) {
    expect(body).toMatch(new RegExp(`^${name} `, 'm'))
  }
})

test('every metric has a name of ours, a help text and a unit that its name tells', async () => {
  const { body } = await createMetrics().render()
  const described = body.matchAll(/^# HELP (maru_\w+) (.+)\n# TYPE \1 (\w+)$/gm)
  const metrics = [...described].map(([, name, help, type]) => ({ name: name!, help: help!, type: type! }))
  expect(metrics.length).toBeGreaterThan(10)
  for (const { name, help, type } of metrics) {
    expect(help).toMatch(/\.$/)
    if (type === 'counter') expect(name).toMatch(/_total$/)
    if (type === 'histogram') expect(name).toMatch(/_(seconds|size)$/)
  }
})

test('two sets of metrics know nothing of each other', async () => {
  const [one, two] = [createMetrics(), createMetrics()]
  one.messagesSent.inc()
  expect(ours((await two.render()).body)).toContain('maru_messages_sent_total 0')
})
