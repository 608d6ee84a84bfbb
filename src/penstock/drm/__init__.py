"""DRM vendors: whose license servers give keys to Widevine, PlayReady and FairPlay, and how a session proves its right.

One module for each vendor, pure: an `Entitlement` becomes license addresses with headers, and where a vendor asks back
whether a license may be given, its question becomes the session it is about. `vendors` reads which one is used. Nothing
here speaks to a vendor: the player does. Each module says where its facts are from, and which of them nobody has tried.
"""
