import { expect, test } from 'vitest'
import { clientAddress, trustedProxies } from './trusted-proxies.ts'

const read = (text: string) => trustedProxies().parse(text)

test('without proxies a client is who connects, whatever it says', () => {
  expect(clientAddress('192.0.2.1', '6.6.6.6', null)).toBe('192.0.2.1')
  expect(clientAddress('::ffff:192.0.2.1', '', null)).toBe('192.0.2.1')
  expect(clientAddress('fe80::1%eth0', '', null)).toBe('fe80::1')
  expect(clientAddress(undefined, '6.6.6.6', 1)).toBe('unknown')
})

test('behind a number of proxies it is whom the first of them was asked by', () => {
  expect(clientAddress('10.0.0.1', '6.6.6.6, 192.0.2.1', read('1'))).toBe('192.0.2.1')
  expect(clientAddress('10.0.0.1', '6.6.6.6, 192.0.2.1, 10.0.0.2', read('2'))).toBe('192.0.2.1')
  // Fewer than there should be: who came past the first proxy.
  expect(clientAddress('10.0.0.1', '192.0.2.1', read('3'))).toBe('192.0.2.1')
  expect(clientAddress('10.0.0.1', '', read('1'))).toBe('10.0.0.1')
})

test('behind proxies of these addresses it is the last who is none of them', () => {
  const ours = read('10.0.0.0/8, 2001:db8::/32,::1')
  expect(clientAddress('10.0.0.1', '6.6.6.6, 192.0.2.1', ours)).toBe('192.0.2.1')
  expect(clientAddress('::ffff:10.0.0.1', '6.6.6.6,192.0.2.1,10.2.3.4,2001:db8::7', ours)).toBe('192.0.2.1')
  expect(clientAddress('192.0.2.9', '6.6.6.6', ours)).toBe('192.0.2.9')
  expect(clientAddress('10.0.0.1', '10.0.0.2', ours)).toBe('10.0.0.2')
})

test('ports, brackets and names that are no addresses are understood', () => {
  expect(clientAddress('10.0.0.1', '192.0.2.1:4711', 1)).toBe('192.0.2.1')
  expect(clientAddress('10.0.0.1', '[2001:DB8::1]:4711', 1)).toBe('2001:db8::1')
  expect(clientAddress('10.0.0.1', '2001:db8::1', 1)).toBe('2001:db8::1')
  for (const odd of ['unknown', '_hidden', '', '1.2.3', '1.2.3.4.5', '<script>', '192.0.2.1; drop']) {
    expect(clientAddress('10.0.0.1', `6.6.6.6, ${odd}`, 1)).toBe('10.0.0.1')
    // Nor is anything before it believed: nobody knows who wrote that.
    expect(clientAddress('10.0.0.1', `6.6.6.6, ${odd}, 10.0.0.2`, 3)).toBe('10.0.0.2')
    expect(clientAddress('10.0.0.1', `6.6.6.6, ${odd}, 10.0.0.2`, read('10.0.0.0/8'))).toBe('10.0.0.2')
  }
})

test('what is neither a number nor addresses is refused', () => {
  const isRead = (text: string) => trustedProxies().safeParse(text).success
  for (const text of ['1', '10', '127.0.0.1', '::1', '10.0.0.0/8,fd00::/8', '0.0.0.0/0']) expect(isRead(text), text).toBe(true)
  for (const text of ['0', '11', 'true', 'nginx', '10.0.0.0/33', '::/129', '10.0.0.0/8/8', '10.0.0.1,', '10.0.0.0/']) {
    expect(isRead(text), text).toBe(false)
  }
})
