import { Gauge, type Registry } from 'prom-client'
import type { Member } from './registry.ts'

/**
 * Replicas as this one sees them. Each tells of all, so that one that sees others than the rest stands out; with n of
 * them that is n² series.
 */
export function createReplicaGauges(registers: Registry[]) {
  let members: () => readonly Member[] | null = () => null
  const replicasKnown: Gauge = new Gauge({
    registers,
    name: 'maru_replicas_known',
    help: 'Replicas that this one knows of, itself included; 0 while it cannot say, and the public address is given.',
    collect: () => replicasKnown.set(members()?.length ?? 0),
  })
  const replicaSockets: Gauge<'replica' | 'state'> = new Gauge({
    registers,
    name: 'maru_replica_sockets',
    help: 'Sockets of each replica, as this one knows. Replica is its address, or its id; state is up or draining.',
    labelNames: ['replica', 'state'] as const,
    collect() {
      replicaSockets.reset()
      for (const { id, url, sockets, draining } of members() ?? []) {
        replicaSockets.inc({ replica: url ?? id, state: draining ? 'draining' : 'up' }, sockets)
      }
    },
  })
  return {
    replicasKnown,
    replicaSockets,
    /** Says where members are looked up from now on. */
    watchReplicas(look: () => readonly Member[] | null) {
      members = look
    },
  }
}
