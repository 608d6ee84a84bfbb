import { describe, expect, it } from "vitest";
import { drmConfiguration } from "../src/drm.ts";

const widevine = {
  license_url: "https://w.example/acquire",
  headers: { "X-AxDRM-Message": "signed" },
  certificate_url: null,
};
const fairplay = {
  license_url: "https://f.example/acquire",
  headers: {},
  certificate_url: "https://f.example/fairplay.cer",
};

describe("drmConfiguration", () => {
  it("asks our own ClearKey server where there is no vendor", () => {
    expect(drmConfiguration({ license_url: "/v1/licenses/clearkey", drm: {} })).toEqual({
      servers: { "org.w3.clearkey": "/v1/licenses/clearkey" },
      advanced: {},
    });
    expect(drmConfiguration({ license_url: null, drm: {} }).servers).toEqual({});
  });

  it("asks a vendor for its systems, and tells FairPlay its certificate", () => {
    const drm = { "com.widevine.alpha": widevine, "com.apple.fps": fairplay };
    expect(drmConfiguration({ license_url: null, drm })).toEqual({
      servers: {
        "com.widevine.alpha": "https://w.example/acquire",
        "com.apple.fps": "https://f.example/acquire",
      },
      advanced: { "com.apple.fps": { serverCertificateUri: "https://f.example/fairplay.cer" } },
    });
  });
});
