// Every operation of MediaPackage VOD as an unmodified AWS SDK for JavaScript calls it; prints what was answered.
import * as sdk from "@aws-sdk/client-mediapackage-vod";

const [source, role] = process.argv.slice(2);
const vod = new sdk.MediaPackageVodClient({});
const call = (name, input = {}) => vod.send(new sdk[`${name}Command`](input));
const told = {};

await call("CreatePackagingGroup", { Id: "js", Tags: { made: "here" } });
await call("CreatePackagingConfiguration", {
  Id: "js-smooth",
  PackagingGroupId: "js",
  MssPackage: { MssManifests: [{ ManifestName: "film" }], SegmentDurationSeconds: 2 },
});
const asset = await call("CreateAsset", { Id: "js", PackagingGroupId: "js", SourceArn: source, SourceRoleArn: role });
told.created = asset.EgressEndpoints.map((one) => one.Status);

let endpoints = [];
const deadline = Date.now() + 60_000;
do {
  await new Promise((resolve) => setTimeout(resolve, 200));
  endpoints = (await call("DescribeAsset", { Id: "js" })).EgressEndpoints;
} while (endpoints[0].Status !== "PLAYABLE" && Date.now() < deadline);
told.packaged = endpoints.map((one) => one.Status);
told.manifest = (await (await fetch(endpoints[0].Url)).text()).includes("SmoothStreamingMedia");

for (const [name, member] of [
  ["ListPackagingGroups", "PackagingGroups"],
  ["ListPackagingConfigurations", "PackagingConfigurations"],
  ["ListAssets", "Assets"],
]) {
  told[name] = [];
  for await (const page of sdk[`paginate${name}`]({ client: vod, pageSize: 1 }, {})) {
    told[name].push(...page[member].map((one) => one.Id));
  }
}

await call("TagResource", { ResourceArn: asset.Arn, Tags: { a: "b", c: "d" } });
await call("UntagResource", { ResourceArn: asset.Arn, TagKeys: ["c"] });
told.tags = (await call("ListTagsForResource", { ResourceArn: asset.Arn })).Tags;
const group = await call("DescribePackagingGroup", { Id: "js" });
told.group = { tags: group.Tags, assets: group.ApproximateAssetCount, created: group.CreatedAt?.slice(0, 2) };
told.configuration = (await call("DescribePackagingConfiguration", { Id: "js-smooth" })).MssPackage;
const logs = { LogGroupName: "/aws/MediaPackage/a" };
told.logs = (await call("ConfigureLogs", { Id: "js", EgressAccessLogs: logs })).EgressAccessLogs;
await call("UpdatePackagingGroup", { Id: "js" });

told.refused = await call("DescribeAsset", { Id: "nothing" }).catch((error) => [
  error instanceof sdk.NotFoundException,
  error.$metadata.httpStatusCode,
]);
await call("DeleteAsset", { Id: "js" });
await call("DeletePackagingConfiguration", { Id: "js-smooth" });
await call("DeletePackagingGroup", { Id: "js" });
told.left = (await call("ListAssets")).Assets.length;
console.log(JSON.stringify(told));
