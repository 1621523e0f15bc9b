import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { errorCodes } from '../errors.ts'
import { createMetrics } from './metrics.ts'

type Target = { refId: string; expr: string; legendFormat: string; datasource: { uid: string } }
type GridPos = { x: number; y: number; w: number; h: number }
type Panel = { id: number; type: string; title: string; description?: string; gridPos: GridPos; targets?: Target[] }
type Variable = { name: string; type: string; definition?: string }
type Annotation = { name: string; expr?: string }
type Dashboard = { panels: Panel[]; templating: { list: Variable[] }; annotations: { list: Annotation[] } }
type Rule = { alert: string; expr: string; for?: string; severity: string; annotations: Record<string, string> }

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8')

const dashboard = JSON.parse(read('dashboard.json')) as Dashboard
const readme = read('README.md')
const rules = readRules(read('alerts.yml'))
const rows = dashboard.panels.filter(({ type }) => type === 'row')
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const targets = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })))

/** The labels that Prometheus itself gives to what it scrapes. */
const scraped = ['job', 'instance']

/** What Node's own metrics tell apart, by `prom-client`: they are empty until there is something to tell. */
const labelsOfNode: Record<string, string[]> = { nodejs_gc_duration_seconds: ['kind'] }

/** Metrics of ours that the dashboard leaves out, with the reason. */
const leftOut: Record<string, string> = {}

/** All series that there are, by name, with their labels: those of a histogram are its three. */
const series = new Map([['up', scraped]])
for (const [name, labels, type] of await knownMetrics()) {
  if (type !== 'histogram') series.set(name, [...labels, ...scraped])
  else {
    series.set(`${name}_bucket`, [...labels, ...scraped, 'le'])
    for (const end of ['sum', 'count']) series.set(`${name}_${end}`, [...labels, ...scraped])
  }
}

async function knownMetrics(): Promise<[name: string, labels: readonly string[], type: string][]> {
  const metrics = createMetrics()
  const ours = new Map<string, readonly string[]>()
  for (const metric of Object.values(metrics) as object[]) {
    if ('labelNames' in metric) ours.set((metric as unknown as { name: string }).name, metric.labelNames as string[])
  }
  const { body } = await metrics.render()
  const described = [...body.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
  return described.map(([, name, type]) => [name!, ours.get(name!) ?? labelsOfNode[name!] ?? [], type!])
}

type Reading = { series: { name: string; labels: string[]; values: string[] }[]; groupedBy: string[] }

/**
 * What an expression reads: each name with the labels that it is chosen by, and the labels that it is grouped by. Of
 * PromQL no more than is written here; `promtool` knows the rest.
 */
function readingOf(expr: string): Reading {
  const groupedBy: string[] = []
  const rest = expr.replace(/\b(?:by|without|on|ignoring) \(([^)]*)\)/g, (_, labels: string) => {
    groupedBy.push(...labels.split(/, */))
    return ' '
  })
  // Texts, durations and words of the language are passed over; functions are what a parenthesis follows.
  const passed = /"[^"]*"|\[[^\]]*\]|\b(?:offset \w+|and|or|unless)\b/
  const name = /\b([a-z_]\w*)\b(?! *\()(?:\{([^}]*)\})?/
  const words = rest.matchAll(new RegExp(`${passed.source}|${name.source}`, 'g'))
  const found = [...words].filter(([, name]) => name !== undefined)
  return {
    groupedBy,
    series: found.map(([, name, chosen = '']) => {
      const matchers = [...chosen.matchAll(/(\w+)(?:=~|!~|!=|=)"([^"]*)"/g)]
      return { name: name!, labels: matchers.map((m) => m[1]!), values: matchers.map((m) => m[2]!) }
    }),
  }
}

/** The labels that an expression leaves to tell its results apart by. */
const labelsLeft = ({ series: read, groupedBy }: Reading): string[] =>
  groupedBy.length > 0 ? groupedBy : read.flatMap(({ name }) => series.get(name)!)

/**
 * The rules, of the little YAML that they are written in: maps and lists by indentation, values in double quotes as in
 * JSON, plain words, or folded over lines after `>-`. Whatever else is a fault.
 */
function readRules(text: string): Rule[] {
  const found: Rule[] = []
  let folded: string | null = null
  let value = { key: '', text: '' }
  const finish = () => {
    const rule = found.at(-1)
    const { key, text } = value
    if (rule === undefined || key === '') return
    if (key === 'expr' || key === 'for' || key === 'severity') rule[key] = text
    else if (!/^(alert|labels|annotations|name|rules)$/.test(key)) rule.annotations[key] = text
  }
  for (const line of text.split('\n')) {
    if (/^ *(#.*)?$/.test(line)) continue
    const [, indent, item, key, rest] = /^( *)(- )?(\w+):(?: (.+))?$/.exec(line) ?? []
    if (folded !== null && line.startsWith(`${folded}  `)) {
      value.text = `${value.text} ${line.trim()}`.trim()
      continue
    }
    if (key === undefined) throw new Error(`Not understood: ${line}`)
    finish()
    if (item !== undefined && key === 'alert') found.push({ alert: rest!, expr: '', severity: '', annotations: {} })
    folded = rest === '>-' ? indent! : null
    // A colon or a hash after a plain word would begin something else.
    if (folded === null && rest !== undefined && !rest.startsWith('"') && /: | #/.test(rest)) throw new Error(line)
    value = { key, text: folded === null ? (rest?.startsWith('"') ? (JSON.parse(rest) as string) : (rest ?? '')) : '' }
  }
  finish()
  return found
}

const expressions: [place: string, expr: string][] = [
  ...targets.map(({ title, expr }): [string, string] => [title, expr]),
  ...dashboard.annotations.list.flatMap(({ name, expr }): [string, string][] => (expr ? [[name, expr]] : [])),
  ...rules.map(({ alert, expr }): [string, string] => [alert, expr]),
]

test('an expression is read', () => {
  const expr = 'sum by (job, le) (rate(maru_a_bucket{code=~"A|B", job="maru"}[5m])) > 2e6 and maru_b offset 5m'
  expect(readingOf(expr)).toEqual({
    groupedBy: ['job', 'le'],
    series: [
      { name: 'maru_a_bucket', labels: ['code', 'job'], values: ['A|B', 'maru'] },
      { name: 'maru_b', labels: [], values: [] },
    ],
  })
})

test.each(expressions)('%s reads what there is', (_, expr) => {
  const reading = readingOf(expr)
  expect(reading.series.length, expr).toBeGreaterThan(0)
  for (const { name, labels, values } of reading.series) {
    expect(series.keys(), expr).toContain(name)
    for (const label of labels) expect(series.get(name), name).toContain(label)
    const codes = values[labels.indexOf('code')]?.split('|') ?? []
    for (const code of codes) expect(['OK', ...errorCodes]).toContain(code)
  }
  const labels = reading.series.flatMap(({ name }) => series.get(name)!)
  for (const label of reading.groupedBy) expect(labels).toContain(label)
})

test('each counter is read as a rate, and each quantile by its buckets', () => {
  for (const [, expr] of expressions) {
    const counters = expr.matchAll(/(\w+\()?(maru_\w+_(?:total|bucket|sum|count))\b/g)
    for (const [, call, name] of counters) {
      // This one also looks for the moment at which a counter appears.
      if (name === 'maru_operations_total' && expr.includes('unless')) continue
      expect(['rate(', 'increase('], expr).toContain(call)
    }
    for (const [, grouped] of expr.matchAll(/histogram_quantile\([\d.]+, *sum by \(([^)]*)\)/g)) {
      expect(grouped).toMatch(/\ble$/)
    }
  }
})

test('each metric of ours is on the dashboard and in the README', () => {
  const shown = new Set(targets.flatMap(({ expr }) => readingOf(expr).series.map(({ name }) => name)))
  const bare = (name: string) => name.replace(/_(bucket|sum|count)$/, '')
  const ours = new Set([...series.keys()].filter((name) => name.startsWith('maru_')).map(bare))
  const missing = [...ours].filter((name) => ![...shown].some((one) => bare(one) === name))
  expect(missing.toSorted()).toEqual(Object.keys(leftOut).toSorted())
  for (const name of ours) expect(readme).toContain(`\`${name}\``)
  for (const [name] of readme.matchAll(/\bmaru_\w+/g)) expect(ours).toContain(bare(name))
})

test('the panels stand beside one another, each with a number of its own', () => {
  const ids = dashboard.panels.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  const taken = new Map<string, string>()
  for (const { title, gridPos } of dashboard.panels) {
    const { x, y, w, h } = gridPos
    expect(x + w, title).toBeLessThanOrEqual(24)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        expect(taken.get(`${column} ${line}`), title).toBeUndefined()
        taken.set(`${column} ${line}`, title)
      }
    }
  }
  expect(rows.map(({ title }) => title)).toEqual(['Live', 'Bus', 'Store', 'Operations', 'Workers', 'Process', 'Limits', 'Replicas'])
})

test('each panel says what it shows, of the replicas that were chosen', () => {
  const variables = dashboard.templating.list.map(({ name }) => name)
  expect(variables).toEqual(['DS_PROMETHEUS', 'job', 'instance', 'statement'])
  for (const { definition, type } of dashboard.templating.list.slice(1)) {
    expect(type).toBe('query')
    expect(series.keys()).toContain(/^label_values\((\w+)/.exec(definition!)?.[1])
  }
  for (const { title, description, targets = [] } of panels) {
    expect(description, title).toMatch(/\.$/)
    expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(Math.max(1, targets.length))
  }
  for (const { expr, datasource, legendFormat } of targets) {
    expect(datasource.uid).toBe('${DS_PROMETHEUS}')
    const reading = readingOf(expr)
    for (const { name, labels } of reading.series) expect(labels, name).toEqual(expect.arrayContaining(scraped))
    for (const [, name] of expr.matchAll(/\$([a-z]+)\b/g)) expect(variables).toContain(name)
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labelsLeft(reading), expr).toContain(label)
  }
})

test('each alert says how bad it is, what it means and what to do', () => {
  expect(rules.length).toBe(read('alerts.yml').match(/- alert:/g)?.length)
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
  for (const { alert, severity, annotations, ...rule } of rules) {
    expect(['warning', 'critical'], alert).toContain(severity)
    if (rule.for !== undefined) expect(rule.for).toMatch(/^\d+[sm]$/)
    expect(annotations.summary, alert).not.toMatch(/\{\{|\.$/)
    expect(annotations.description, alert).toMatch(/\.$/)
    expect(annotations.runbook).toBe(`server/observability/README.md#${alert.toLowerCase()}`)
    const advice = new RegExp(`^### ${alert}\n\n(.+)`, 'm').exec(readme)?.[1] ?? ''
    expect(advice.length, alert).toBeGreaterThan(40)
    const told = labelsLeft(readingOf(rule.expr))
    for (const [, label] of annotations.description!.matchAll(/\$labels\.(\w+)/g)) expect(told, alert).toContain(label)
  }
  const advised = [...readme.matchAll(/^### (Maru\w+)$/gm)].map(([, alert]) => alert)
  expect(advised).toEqual(rules.map(({ alert }) => alert))
})
