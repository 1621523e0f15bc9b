import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { z } from 'zod'

/** How the text of an environment variable becomes a value. Each refusal completes the sentence "PORT must be …". */

/** A whole number from `least` to `most`, written in digits. */
export const wholeNumber = (least: number, most: number) =>
  z
    .string()
    .refine((text) => /^\d{1,15}$/.test(text) && Number(text) >= least && Number(text) <= most, {
      error: `must be a whole number from ${least} to ${most}`,
    })
    .transform(Number)

/** A part of the whole, such as 0.25. */
export const share = () =>
  z
    .string()
    .refine((text) => /^(0|1|0?\.\d{1,9}|1\.0{1,9})$/.test(text), { error: 'must be a number from 0 to 1' })
    .transform(Number)

/** One of a few words. */
export const oneOf = <const Word extends string>(...words: [Word, ...Word[]]) =>
  z.enum(words, { error: `must be one of ${words.join(', ')}` })

/** `on` or `off`, also as true/false, yes/no and 1/0. */
export const flag = () =>
  z
    .string()
    .refine((text) => /^(on|off|true|false|yes|no|1|0)$/i.test(text), { error: 'must be on or off' })
    .transform((text) => /^(on|true|yes|1)$/i.test(text))

/** Any text of at least `least` characters. */
export const text = (least = 1) =>
  z.string().refine((given) => given.length >= least, { error: `must be at least ${least} characters long` })

/** A folder, as an absolute path. */
export const folder = () =>
  z
    .string()
    .refine((path) => !path.includes('\0'), { error: 'must be the path of a folder' })
    .transform((path) => resolve(path))

/** An address of this machine to listen on. */
export const listenAddress = () =>
  z.string().refine((host) => isIP(host) !== 0 || /^[a-z\d]([a-z\d.-]*[a-z\d])?$/i.test(host), {
    error: 'must be an IP address or a host name, without a port',
  })

/** An http or https URL without query and fragment; a slash at its end is dropped. */
export const webAddress = () =>
  z
    .string()
    .refine((given) => /^https?:\/\//i.test(given) && URL.canParse(given) && !/[?#\s]/.test(given), {
      error: 'must be an http:// or https:// URL without ? and #',
    })
    .transform((given) => given.replace(/\/+$/, ''))

/** Schemes whose addresses a page must not offer: they run what they hold, or open what is on the reader's disk. */
const unsafeSchemes = new Set(['javascript:', 'data:', 'vbscript:', 'file:', 'blob:', 'about:'])

/** The address of an app, of whatever scheme: `myapp://` or `https://app.example.org/`. */
export const appAddress = () =>
  z
    .string()
    .refine(
      (given) =>
        /^[a-z][a-z\d+.-]*:/i.test(given) &&
        !/[#\s]/.test(given) &&
        !unsafeSchemes.has(URL.parse(given)?.protocol ?? 'about:'),
      { error: 'must be an address such as myapp:// or https://app.example.org/, without #' },
    )

const partsOf = (list: string) => list.split(',').map((each) => each.trim()).filter((each) => each !== '')

/** iOS apps with commas between them, each as team and bundle: `ABCDE12345.org.example.chat`. */
export const iosApps = () =>
  z
    .string()
    .transform(partsOf)
    .refine((apps) => apps.length > 0 && apps.every((app) => /^[A-Z\d]{10}\.[A-Za-z\d][A-Za-z\d.-]*$/.test(app)), {
      error: 'must be app ids such as ABCDE12345.org.example.chat, with commas between them',
    })

/** Android apps with commas between them, each with the SHA-256 of a certificate: `org.example.chat=12:AB:…`. */
export const androidApps = () =>
  z
    .string()
    .transform(partsOf)
    .refine((apps) => apps.length > 0 && apps.every((app) => /^[a-z]\w*(\.[a-z]\w*)+=[\da-f]{2}(:[\da-f]{2}){31}$/i.test(app)), {
      error: 'must be packages and SHA-256 fingerprints such as org.example.chat=12:AB:…, with commas between them',
    })
    .transform((apps) =>
      apps.map((app) => {
        const [packageName, fingerprint] = app.split('=') as [string, string]
        return { packageName, fingerprint }
      }),
    )

/** An http or https URL as it is, query and all. */
export const exactWebAddress = () =>
  z.string().refine((given) => /^https?:\/\//i.test(given) && URL.canParse(given), {
    error: 'must be an http:// or https:// URL',
  })

/** The URL of a service, whose driver reads the rest: Postgres' may name several hosts, which is no URL to `URL`. */
export const serviceUrl = (...schemes: [string, ...string[]]) =>
  z.string().refine((given) => schemes.some((scheme) => given.startsWith(`${scheme}://`) && !/:\/\/$|\s/.test(given)), {
    error: `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  })

/** Origins with commas between them. Apps in a web view have schemes of their own: `capacitor://localhost`. */
export const originList = () =>
  z
    .string()
    .transform((list) => list.split(',').map((origin) => origin.trim().replace(/\/$/, '').toLowerCase()))
    .transform((origins) => origins.filter((origin) => origin !== ''))
    .refine((origins) => origins.every((origin) => /^[a-z][a-z\d+.-]*:\/\/[^/?#\s*@]+$/.test(origin)), {
      error: 'must list origins such as https://chat.example.org, without paths and without *',
    })

/** Hosts with commas between them, each with or without a port. */
export const hostList = () =>
  text().refine(
    (given) => given.split(',').every((each) => /^(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i.test(each.trim())),
    { error: 'must be hosts with commas between them, each as host or host:port, without http://' },
  )
