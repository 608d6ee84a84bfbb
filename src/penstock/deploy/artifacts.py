"""The bucket that code, template and first key values lie in for as long as CloudFormation needs them.

Made by us, because a stack cannot hold what it is made from. Every request names the account that must own the bucket:
whoever has taken the name elsewhere gets nothing.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from penstock.deploy.account import Account, asked, code_of
from penstock.errors import Conflict

_KEY_VALUES = "key-values/"


class Artifacts:
    def __init__(self, account: Account, stack: str) -> None:
        self.bucket = f"{stack}-artifacts-{account.id}-{account.region}"
        self._account = account
        self._s3 = account.s3

    def ensure(self) -> bool:
        """See that the bucket is there, ours and private; True when it had to be made."""
        with asked(f"looking for the bucket {self.bucket}"):
            if there(self.bucket, self._account):
                return False
        with asked(f"making the bucket {self.bucket}"):
            create(self.bucket, self._account)
        return True

    def put_code(self, path: Path, digest: str) -> str:
        """Upload the zip under its digest, unless it is there; returns its object key."""
        key = code_key(digest)
        with asked("uploading the code"):
            if not self._has(key):
                with path.open("rb") as body:
                    self._put(key, body)
        return key

    def put_template(self, text: str) -> str:
        """Upload the template; returns the address that CloudFormation reads it from."""
        self._put("template.yaml", text.encode())
        host = f"{self.bucket}.s3.{self._account.region}.{_suffix(self._account.region)}"
        return f"https://{host}/template.yaml"

    def put_key_values(self, values: dict[str, str]) -> str:
        """Upload what a key value store is filled from; returns the object key. Remove it as soon as that is done.

        Source: https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/kvs-with-functions-create-s3-kvp.html
        """
        key = f"{_KEY_VALUES}{secrets.token_hex(16)}.json"
        document = {"data": [{"key": name, "value": value} for name, value in values.items()]}
        self._put(key, json.dumps(document).encode())
        return key

    def remove_key_values(self) -> None:
        """Remove every such object, also one that a deployment left behind which was cut short."""
        owner = {"Bucket": self.bucket, "ExpectedBucketOwner": self._account.id}
        with asked("removing the first key values"):
            for each in self._s3.list_objects_v2(**owner, Prefix=_KEY_VALUES).get("Contents", ()):
                self._s3.delete_object(**owner, Key=each["Key"])

    def remove_all(self) -> None:
        """Remove the bucket with everything in it, if it is there."""
        with asked(f"removing the bucket {self.bucket}"):
            empty_and_remove(self.bucket, self._account)

    def _has(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self.bucket, Key=key, ExpectedBucketOwner=self._account.id)
        except ClientError as exc:
            if code_of(exc) in ("404", "NoSuchKey"):
                return False
            raise
        return True

    def _put(self, key: str, body: Any) -> None:
        with asked(f"uploading {key.partition('/')[0]}"):
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ExpectedBucketOwner=self._account.id)


def code_key(digest: str) -> str:
    return f"code/{digest}.zip"


def there(bucket: str, account: Account) -> bool:
    """Whether a bucket is in this account. Raises Conflict when the name is taken by another one, or elsewhere."""
    try:
        account.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as exc:
        code = code_of(exc)
        if code in ("404", "NoSuchBucket"):
            return False
        if code in ("301", "PermanentRedirect", "400"):
            raise Conflict(
                f"the bucket {bucket} is in another region than {account.region}; choose another name"
            ) from exc
        if code in ("403", "AccessDenied"):
            raise Conflict(
                f"the bucket name {bucket} is taken by another account, or closed to you; choose another name"
            ) from exc
        raise
    return True


def create(bucket: str, account: Account) -> None:
    """Make a private bucket; encrypted and without ACLs is how S3 makes them."""
    # S3's oldest region is the one that must not be named.
    place = {} if account.region == "us-east-1" else {"LocationConstraint": account.region}
    account.s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    everything = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    account.s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration=everything, ExpectedBucketOwner=account.id
    )


def empty_and_remove(bucket: str, account: Account) -> None:
    """Remove a bucket of this account with everything in it; one that is not there is fine."""
    if not there(bucket, account):
        return
    owner = {"Bucket": bucket, "ExpectedBucketOwner": account.id}
    for page in account.s3.get_paginator("list_multipart_uploads").paginate(**owner):
        for upload in page.get("Uploads", ()):
            account.s3.abort_multipart_upload(**owner, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in account.s3.get_paginator("list_object_versions").paginate(**owner):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            named = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
            account.s3.delete_objects(**owner, Delete={"Objects": named, "Quiet": True})
    account.s3.delete_bucket(**owner)


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
