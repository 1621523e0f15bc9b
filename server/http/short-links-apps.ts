/** Apps that open short links by themselves, where they are installed. */
export type LinkedApps = {
  /** iOS apps: team and bundle, `ABCDE12345.org.example.chat`. */
  ios: readonly string[]
  /** Android apps, each with the SHA-256 fingerprint of a certificate that it is signed with, in hex with colons. */
  android: readonly { packageName: string; fingerprint: string }[]
}

/**
 * The documents by which a site says which apps open its short links, by path, as JSON: for iOS that of Universal Links
 * (developer.apple.com, "Supporting associated domains"), for Android that of App Links (developer.android.com, "Verify
 * Android App Links"). A system asks for them when an app is installed.
 */
export function appAssociations({ ios, android }: LinkedApps): ReadonlyMap<string, object> {
  const documents = new Map<string, object>()
  if (ios.length > 0) {
    const components = [{ '/': '/i/*' }, { '/': '/m/*' }]
    documents.set('/.well-known/apple-app-site-association', { applinks: { details: [{ appIDs: ios, components }] } })
  }
  if (android.length > 0) {
    const byPackage = Map.groupBy(android, ({ packageName }) => packageName)
    const statements = Array.from(byPackage, ([packageName, apps]) => ({
      relation: ['delegate_permission/common.handle_all_urls'],
      target: {
        namespace: 'android_app',
        package_name: packageName,
        sha256_cert_fingerprints: apps.map(({ fingerprint }) => fingerprint.toUpperCase()),
      },
    }))
    documents.set('/.well-known/assetlinks.json', statements)
  }
  return documents
}
