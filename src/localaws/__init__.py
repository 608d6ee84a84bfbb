"""localaws: what AWS is to a video application, on one machine. Useful without penstock."""
