/** Prints a table as Markdown, so that it can be kept as it is. Numbers stand on the right. */
export function printTable(title: string, head: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = head.map((text, column) => Math.max(text.length, ...rows.map((row) => row[column]!.length)))
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(' | ')} |`
  const rules = widths.map((width, column) => '-'.repeat(width + 1) + (column === 0 ? '-' : ':'))
  const rule = `|${rules.join('|')}|`
  process.stdout.write(`\n${title}\n\n${[line(head), rule, ...rows.map(line)].join('\n')}\n`)
}

/** A figure with three digits that count; a dash where there is none. */
export function spell(figure: number | undefined): string {
  if (figure === undefined || !Number.isFinite(figure)) return '–'
  if (Math.abs(figure) >= 1_000) return Math.round(Number(figure.toPrecision(3))).toLocaleString('en')
  if (Math.abs(figure) >= 100) return figure.toFixed(0)
  return figure.toPrecision(3)
}

/** How much of another figure it is. */
export const ratio = (figure: number | undefined, base: number | undefined): string =>
  figure === undefined || base === undefined ? '–' : (figure / base).toFixed(2)
