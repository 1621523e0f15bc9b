import { createHash } from 'node:crypto'
import { domainToASCII } from 'node:url'
import { badInput } from '../errors.ts'

/** RFC 5321, 4.5.3.1: of the part before the @, and of a path without its brackets. */
const maxLocal = 64
const maxAddress = 254

/** A dot-atom of RFC 5322: what every server takes, and nothing that could be read as more than one address. */
const localPart = /^[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*$/

/** At least two labels, the last with a letter: no host of the own network, and no number of one. */
const domainName = /^(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+(?=[\d-]*[a-z])[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/

/**
 * An address that mail can be sent to, its domain in lower case and in ASCII, as DNS has it. Throws BAD_USER_INPUT
 * about the input at `field`. Whether anybody reads what is sent there is not known before they answer.
 */
export function checkMailAddress(text: string, field: string): string {
  const address = text.trim()
  const at = address.lastIndexOf('@')
  const [local, domain] = [address.slice(0, at), domainToASCII(address.slice(at + 1, at + 1 + maxAddress))]
  const whole = `${local}@${domain}`
  const isGood =
    at > 0 && local.length <= maxLocal && whole.length <= maxAddress && localPart.test(local) && domainName.test(domain)
  if (!isGood) throw badInput('This is not an email address.', field)
  return whole
}

/**
 * What stands for an address in links, where it would be seen in logs: 96 bits of its SHA-256. Whoever has the address
 * can tell that it is meant, and nobody else can.
 */
export const mailAddressKey = (address: string): string =>
  createHash('sha256').update(address).digest().subarray(0, 12).toString('base64url')
