import { afterAll, describe, expect, test } from 'vitest'
import { isPublicAddress } from './outbound-addresses.ts'
import { createOutbound } from './outbound.ts'

const outbound = createOutbound({ userAgent: 'MaruBot/1.0' })
afterAll(() => outbound.close())

describe('addresses that are not of the open Internet', () => {
  test.each([
    'http://localhost',
    'http://localhost.',
    'http://LocalHost',
    'http://app.localhost',
    'http://127.0.0.1',
    'http://127.0.0.1.',
    'http://127.1',
    'http://127.255.255.254',
    'http://2130706433',
    'http://0x7f000001',
    'http://0x7f.1',
    'http://0177.0.0.1',
    'http://0',
    'http://0.0.0.0',
    'http://１２７.０.０.１',
    'http://①②⑦.0.0.1',
    'http://127。0。0。1',
    'http://10.1.2.3',
    'http://172.16.0.1',
    'http://192.168.0.1',
    'http://169.254.169.254/latest/meta-data/',
    'http://100.64.0.1',
    'http://192.0.0.192',
    'http://192.0.2.1',
    'http://198.18.0.1',
    'http://224.0.0.1',
    'http://240.0.0.1',
    'http://255.255.255.255',
    'http://[::]',
    'http://[::1]',
    'http://[0:0:0:0:0:0:0:1]',
    'http://[::127.0.0.1]',
    'http://[::ffff:127.0.0.1]',
    'http://[::ffff:7f00:1]',
    'http://[::ffff:8.8.8.8]',
    'http://[::ffff:0:127.0.0.1]',
    'http://[64:ff9b::7f00:1]',
    'http://[64:ff9b:1::a00:1]',
    'http://[2002:7f00:1::]',
    'http://[2001:0:7f00:1::]',
    'http://[2001:db8::1]',
    'http://[100::1]',
    'http://[fc00::1]',
    'http://[fd00:ec2::254]',
    'http://[fe80::1]',
    'http://[fec0::1]',
    'http://[ff02::1]',
    'http://[5f00::1]',
    'http://[4000::1]',
    'http://8.8.8.8:22',
    'http://8.8.8.8:6379',
    'https://example.com:8443',
    'http://user@8.8.8.8',
    'http://:secret@8.8.8.8',
    'ftp://8.8.8.8',
    'file:///etc/passwd',
    'gopher://8.8.8.8/_PING',
    'data:text/html,hello',
    'javascript:alert(1)',
    '//8.8.8.8',
    'http://',
    '',
  ])('%s', async (url) => {
    await expect(outbound.fetch(url, { timeoutMs: 5_000, maxBytes: 10_000 })).rejects.toMatchObject({ reason: 'refused' })
  })

  test('some are', () => {
    for (const address of ['1.1.1.1', '8.8.8.8', '172.32.0.1', '211.234.100.1', '2606:4700::1111', '2a00:1450::1']) {
      expect(isPublicAddress(address), address).toBe(true)
    }
    for (const odd of ['', 'example.com', 'fe80::1%eth0', '1.2.3', '256.1.1.1', '[::1]']) {
      expect(isPublicAddress(odd), odd).toBe(false)
    }
  })
})
