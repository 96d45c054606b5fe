"""From a source’s pages to staged datasets: complete, resumable, folded by key."""
