import type { Audiences, Telling } from '../live/audience.ts'
import type { Subscriber } from '../live/group.ts'
import type { Follower } from '../live/leg.ts'
import { Pump } from '../live/pump.ts'
import type { Change } from '../../message-store/changes.ts'
import { patiently } from '../returning/patience.ts'
import type { Reader } from '../returning/reader.ts'
import type { StreamDeps } from './stream-deps.ts'

/** A stream of one user's that follows channels by legs. */
export abstract class FollowingStream<Item extends object> extends Pump<Item> implements Follower {
  protected readonly deps: StreamDeps
  readonly userId: string
  subscriber: Subscriber | null = null
  abstract readonly telling: Telling

  constructor(deps: StreamDeps, userId: string) {
    super()
    this.deps = deps
    this.userId = userId
  }

  get audiences(): Audiences {
    return this.deps.audiences
  }

  abstract reopen(channelId: string): Promise<Reader<Change> | null>
  abstract onUnseated(channelId: string): void

  goLive(subscriber: Subscriber): void {
    this.subscriber = subscriber
  }

  /** Whether the user is a member of a channel now; asks for as long as the store is away, and the stream is open. */
  protected async isMember(channelId: string): Promise<boolean> {
    const { standings } = this.deps
    const find = () => standings.find(channelId, this.userId)
    const standing = await patiently(find, () => this.isClosed)
    return standing !== null && standing.member !== null
  }
}
