"""Our destinations against requests that mature implementations were recorded sending: cases that we did not write."""
