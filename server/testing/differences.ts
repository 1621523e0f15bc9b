/**
 * Where two values of maps and plain objects differ, each place as a path with what stands there on either side. The
 * order within maps does not count.
 */
export function differences(one: unknown, other: unknown, path = ''): string[] {
  const entries = (value: unknown) =>
    value instanceof Map ? value : value !== null && typeof value === 'object' ? new Map(Object.entries(value)) : null
  const [ours, theirs] = [entries(one), entries(other)]
  if (ours === null || theirs === null || Array.isArray(one) || Array.isArray(other)) {
    const [left, right] = [JSON.stringify(one), JSON.stringify(other)]
    return left === right ? [] : [`${path}: ${left} instead of ${right}`]
  }
  const keys = new Set<string>([...ours.keys(), ...theirs.keys()])
  return [...keys].flatMap((key) => differences(ours.get(key), theirs.get(key), `${path}/${key}`))
}
