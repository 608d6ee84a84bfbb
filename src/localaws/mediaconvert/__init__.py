"""AWS Elemental MediaConvert on one machine: ffmpeg encodes, Shaka Packager packages."""
