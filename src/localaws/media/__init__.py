"""What facing untrusted media takes on one machine: a jail, probing, bytes to and from S3, content keys by SPEKE.

MediaConvert and MediaPackage VOD stand on it; it knows neither.
"""
