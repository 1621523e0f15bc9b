import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto'

/** A certificate that signs itself: `cert` is what clients trust, as `ca` or in NODE_EXTRA_CA_CERTS. Both are PEM. */
export type Certificate = { key: string; cert: string }

/** One of ASN.1's values in DER: its tag, its length, what is in it. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: Uint8Array[]) => der(0x30, ...parts)
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
const octets = (content: Uint8Array) => der(0x04, content)
const utcTime = (at: Date) =>
  der(0x17, Buffer.from(`${at.toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`))

const ecdsaWithSha256 = oid('2a8648ce3d040302')
const commonName = oid('550403')
const subjectAltName = oid('551d11')
const basicConstraints = oid('551d13')

const day = 24 * 60 * 60 * 1_000

/**
 * Makes one for `localhost` and 127.0.0.1 with a key on P-256, good since yesterday and for a week (X.509 v3, RFC
 * 5280).
 */
export function makeCertificate(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = sequence(ecdsaWithSha256)
  // Of its own, so that clients which trust several do not take one for another.
  const called = Buffer.from(`Maru test ${randomBytes(8).toString('hex')}`)
  const name = sequence(der(0x31, sequence(commonName, der(0x0c, called))))
  const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])))
  const isAuthority = sequence(der(0x01, Buffer.from([0xff])))
  const content = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    // The first bit would make it negative, and nothing may be in front of the rest.
    der(0x02, Buffer.from([0x40]), randomBytes(15)),
    algorithm,
    name,
    sequence(utcTime(new Date(Date.now() - day)), utcTime(new Date(Date.now() + 7 * day))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        sequence(subjectAltName, octets(names)),
        sequence(basicConstraints, der(0x01, Buffer.from([0xff])), octets(isAuthority)),
      ),
    ),
  )
  const signature = createSign('SHA256').update(content).sign(privateKey)
  const certificate = sequence(content, algorithm, der(0x03, Buffer.from([0]), signature))
  const lines = certificate.toString('base64').match(/.{1,64}/g)!.join('\n')
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  }
}
