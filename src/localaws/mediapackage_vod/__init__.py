"""MediaPackage VOD on one machine: assets from SMIL or HLS, packaged once when they are made, served by an egress."""
