"""How ffmpeg is asked for what was planned: command lines, filter graphs, encoder options, passes."""
