/** The enumerations of presence and webhooks. Their values are part of the API. */
export const PLATFORMS = ['ANDROID', 'IPHONE', 'IPAD', 'WINDOWS', 'MAC', 'LINUX', 'WEB', 'MINI_PROGRAM'] as const;
export type Platform = (typeof PLATFORMS)[number];

export const MULTI_DEVICE_MODES = ['SINGLE', 'DUAL', 'TRIPLE', 'MULTI', 'CUSTOM'] as const;
export type MultiDeviceMode = (typeof MULTI_DEVICE_MODES)[number];

export const PLATFORM_PRESETS = ['CURRENT', 'MOBILE_ONLY', 'CLASSIC'] as const;
export type PlatformPreset = (typeof PLATFORM_PRESETS)[number];

export const STATUSES = ['ONLINE', 'PUSH_ONLINE', 'OFFLINE'] as const;
export type Status = (typeof STATUSES)[number];
/** The status of a session that has not ended. */
export type LiveStatus = Exclude<Status, 'OFFLINE'>;

export const APP_STATES = ['FOREGROUND', 'BACKGROUND'] as const;
export type AppState = (typeof APP_STATES)[number];

export const EVENT_REASONS = [
  'LOGIN',
  'RECONNECT',
  'LOGOUT',
  'DISCONNECT',
  'HEARTBEAT_TIMEOUT',
  'BACKGROUND_TIMEOUT',
  'PUSH_EXPIRED',
  'KICKED',
  'REPLACED',
  'REVOKED',
  'CUSTOM_STATUS',
] as const;
export type EventReason = (typeof EVENT_REASONS)[number];

export const WEBHOOK_FORMATS = ['STANDARD', 'TENCENT'] as const;
export type WebhookFormat = (typeof WEBHOOK_FORMATS)[number];

/** GONE: the receiver answered 410. */
export const WEBHOOK_STATES = ['ACTIVE', 'PAUSED', 'GONE'] as const;
export type WebhookState = (typeof WEBHOOK_STATES)[number];

export const DELIVERY_STATUSES = ['RETRYING', 'DELIVERED', 'DEAD'] as const;
export type DeliveryStatus = (typeof DELIVERY_STATUSES)[number];
