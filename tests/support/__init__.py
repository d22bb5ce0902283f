"""What tests and scripts share: clips, runs, processes, servers, and drivers of the faces."""
