import type { DeviceRow } from '../server/domain/devices.ts'
import { badInput } from '../server/errors.ts'
import { deviceGlobalId, parseGlobalId } from '../server/lib/global-id.ts'
import { builder, ofViewer } from './builder.ts'
import { nodeType } from './nodes.ts'
import { requireViewer } from './viewer.ts'

const devicePlatform = builder.enumType('DevicePlatform', {
  description: 'Who brings pushes to a device.',
  values: {
    APNS: { description: 'Apple’s devices.' },
    FCM: { description: 'Android, by Google.' },
    WEB_PUSH: { description: 'Browsers.' },
    WEBHOOK: { description: 'Whatever the deployment’s own service reaches: it is posted what there is to tell.' },
  } as const,
})

const deviceType = builder.objectRef<DeviceRow>('Device').implement({
  description: 'Where pushes go; its owner’s alone to see. It goes with the sign-in that registered it.',
  interfaces: [nodeType],
  fields: (t) => ({
    id: t.id({ resolve: (device) => deviceGlobalId(device.userId, device.id) }),
    platform: t.field({ description: 'Who brings its pushes.', type: devicePlatform, resolve: (device) => device.platform }),
    createdAt: t.field({ description: 'When it was first registered.', type: 'DateTime', resolve: (device) => device.createdAt }),
  }),
})

const registerDeviceInput = builder.inputType('RegisterDeviceInput', {
  description: 'Where the device that asks is to be told.',
  fields: (t) => ({
    platform: t.field({ type: devicePlatform, required: true, description: 'Who brings its pushes.' }),
    token: t.string({
      required: true,
      description: 'The APNs or FCM token, the Web Push subscription as JSON, or what the webhook is to be told.',
    }),
    appId: t.string({ description: 'The app that the token belongs to: APNs topic, FCM project.' }),
    sandbox: t.boolean({ description: 'APNs sandbox rather than production.' }),
    locale: t.string({ description: 'The language of its pushes; null follows the settings.' }),
  }),
})

builder.queryFields((t) => ({
  devices: t.field({
    ...ofViewer,
    description: 'The viewer’s devices, the latest first.',
    type: [deviceType],
    resolve: (_, __, context) => context.services.devices.list(requireViewer(context)),
  }),
  webPushKey: t.string({
    ...ofViewer,
    nullable: true,
    description: 'What a browser subscribes with, as `applicationServerKey`; null where there is no Web Push.',
    resolve: (_, __, context) => {
      requireViewer(context)
      return context.services.devices.webPushKey
    },
  }),
}))

builder.mutationFields((t) => ({
  registerDevice: t.field({
    description:
      'Registers the device that asks; registering the same token again is the same device. Whoever was signed in ' +
      'there before has it no longer.',
    type: deviceType,
    args: { input: t.arg({ type: registerDeviceInput, required: true }) },
    resolve: (_, { input }, context) => {
      requireViewer(context)
      return context.services.devices.register(context.viewer!, input)
    },
  }),
  unregisterDevice: t.boolean({
    description: 'No push goes there any more; false where it is none of the viewer’s devices.',
    args: { deviceId: t.arg.id({ required: true }) },
    resolve: (_, { deviceId }, context) => {
      const viewerId = requireViewer(context)
      const parsed = parseGlobalId(deviceId)
      if (parsed?.type !== 'Device') throw badInput('This is not the id of a device.', 'deviceId')
      return parsed.userId === viewerId && context.services.devices.unregister(viewerId, parsed.deviceId)
    },
  }),
}))
