import { afterAll } from 'vitest'
import { openTwoStores } from '../testing/two-stores.ts'
import { describeCatchingUp } from './conformance/catching-up.ts'
import { describeDeadlines } from './conformance/deadlines.ts'
import { describeDurability } from './conformance/durability.ts'
import { describeIdempotency } from './conformance/idempotency.ts'
import { describeMonths } from './conformance/months.ts'
import { describeOrder } from './conformance/order.ts'
import { describePermission } from './conformance/permission.ts'
import { describeReading } from './conformance/reading.ts'
import { describeSearch } from './conformance/search.ts'

/*
 * What `message-store.ts` promises, on whatever engine the tests run on: the embedded Postgres, that of the machine
 * (`npm run test:system-postgres`), Citus (`npm run test:citus`). Two processes share the store, with clocks of their own.
 */

const stores = await openTwoStores()
afterAll(() => stores.close())

describeOrder(stores)
describeDurability(stores)
describeIdempotency(stores)
describePermission(stores)
describeReading(stores)
describeCatchingUp(stores)
describeSearch(stores)
describeMonths(stores)
describeDeadlines(stores)
