/** Tencent's own generator, which has no types. Times are in seconds. */
declare module 'tls-sig-api-v2' {
  export class Api {
    constructor(sdkappid: number, key: string | Uint8Array);
    genUserSig(userid: string, expire: number): string;
    genPrivateMapKey(userid: string, expire: number, roomid: number, privilegeMap: number): string;
    genPrivateMapKeyWithStringRoomID(userid: string, expire: number, roomstr: string, privilegeMap: number): string;
  }
}
