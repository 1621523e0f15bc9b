import { createHash, createHmac } from 'node:crypto'

/*
 * Signature Version 4 in the query of an address: Amazon S3's API Reference, "Authenticating Requests: Using Query
 * Parameters". A page of pictures has hundreds of addresses, of which S3's client signs two in a millisecond.
 */

export type S3Signer = {
  region: string
  accessKeyId: string
  secretAccessKey: string
}

const algorithm = 'AWS4-HMAC-SHA256'

const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest()

/** As RFC 3986 has it, which encodes a little more than JavaScript does. */
const encode = (text: string) =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)

/**
 * Makes the function that signs a `GET` of an address without a query: with these parameters, which the service heeds,
 * as of `signedAt`, for so many seconds. What it gives is what S3's client would, but for the order of parameters.
 */
export function createS3Addresses({ region, accessKeyId, secretAccessKey }: S3Signer) {
  let keyOfDay = { day: '', key: Buffer.alloc(0) }

  function keyOf(day: string): Buffer {
    if (keyOfDay.day !== day) {
      const key = ['s3', 'aws4_request'].reduce(hmac, hmac(hmac(`AWS4${secretAccessKey}`, day), region))
      keyOfDay = { day, key }
    }
    return keyOfDay.key
  }

  return (address: URL, parameters: Record<string, string>, signedAt: Date, seconds: number): string => {
    const time = signedAt.toISOString().replaceAll(/[-:]|\.\d+/g, '')
    const day = time.slice(0, 8)
    const scope = `${day}/${region}/s3/aws4_request`
    const query = Object.entries({
      ...parameters,
      'X-Amz-Algorithm': algorithm,
      'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD',
      'X-Amz-Credential': `${accessKeyId}/${scope}`,
      'X-Amz-Date': time,
      'X-Amz-Expires': String(seconds),
      'X-Amz-SignedHeaders': 'host',
      'x-id': 'GetObject',
    })
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .toSorted()
      .join('&')
    const request = `GET\n${address.pathname}\n${query}\nhost:${address.host}\n\nhost\nUNSIGNED-PAYLOAD`
    const digest = createHash('sha256').update(request).digest('hex')
    const signature = hmac(keyOf(day), `${algorithm}\n${time}\n${scope}\n${digest}`).toString('hex')
    return `${address.origin}${address.pathname}?${query}&X-Amz-Signature=${signature}`
  }
}
