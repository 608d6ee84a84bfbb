/** Sends one request's worth of bytes to object storage, with progress. XMLHttpRequest, because fetch tells no upload progress. */

import type { AwsS3UploadParameters } from "@uppy/aws-s3";

interface Transfer {
  readonly signature: AwsS3UploadParameters;
  readonly body: FormData | Blob;
  readonly size?: number;
  readonly onProgress: (event: { loaded: number; lengthComputable: boolean }) => void;
  readonly onComplete: (etag: string) => void;
  readonly signal?: AbortSignal;
}

/** A refusal of object storage. `source` is what Uppy looks at to decide whether to try again. */
export class TransferError extends Error {
  override readonly name = "TransferError";

  constructor(
    message: string,
    readonly source: { readonly status: number },
  ) {
    super(message);
  }
}

/** PUT a part or POST a form. Stands in for Uppy's own, which never settles when the ETag header cannot be read. */
export function transfer({
  signature,
  body,
  size,
  onProgress,
  onComplete,
  signal,
}: Transfer): Promise<{ ETag: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    const fail = (message: string, status: number) => reject(new TransferError(message, { status }));
    request.open(signature.method ?? "PUT", signature.url);
    for (const [name, value] of Object.entries(signature.headers ?? {}))
      request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", onProgress);
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", abort));
    request.addEventListener("abort", () => reject(aborted(signal)));
    request.addEventListener("error", () => fail("The connection to storage was lost.", 0));
    request.addEventListener("timeout", () => fail("Storage did not answer in time.", 0));
    request.addEventListener("load", () => {
      if (request.status < 200 || request.status >= 300) {
        // Uppy asks for a new signature when it sees exactly this message.
        fail(storageSentence(request.status, request.responseText), request.status);
        return;
      }
      const etag = request.getResponseHeader("ETag") ?? "";
      if (signature.method !== "POST" && etag === "") {
        fail("Storage does not show the ETag of a part; its CORS rule must expose that header.", 400);
        return;
      }
      onProgress({ loaded: size ?? 0, lengthComputable: size !== undefined });
      onComplete(etag);
      resolve({ ETag: etag });
    });
    if (signal?.aborted) {
      reject(aborted(signal));
      return;
    }
    signal?.addEventListener("abort", abort);
    request.send(body);
  });
}

const SENTENCES: Record<string, string> = {
  EntityTooLarge: "The file is larger than was announced. Cancel, and choose it again.",
  EntityTooSmall: "The file is smaller than was announced. Cancel, and choose it again.",
  NoSuchUpload: "This upload was removed from storage in the meantime. Choose the file again.",
  InsufficientStorage: "Storage is full. Free some space, then try again.",
  SlowDown: "Storage is busy. Try again in a moment.",
};

/** Turn an S3 error answer (XML with Code and Message) into a sentence. */
export function storageSentence(status: number, body: string): string {
  const code = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(body)?.[1] ?? "";
  if (/expired/i.test(code) || /<Message>[^<]*expired/i.test(body)) return "Request has expired";
  const known = SENTENCES[code];
  if (known !== undefined) return known;
  if (status === 403) return "Storage refused the upload. Try again, or cancel and choose the file again.";
  if (status >= 500) return "Storage has a problem. Try again in a moment.";
  return `Storage refused the upload (${code === "" ? `HTTP ${status}` : code}).`;
}

function aborted(signal: AbortSignal | undefined): Error {
  return Object.assign(new Error("aborted", { cause: signal?.reason }), { name: "AbortError" });
}
