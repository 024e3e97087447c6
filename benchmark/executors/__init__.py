"""Where runs execute: this process, worker processes, a cluster."""
