"""The local edges: disk and environment. Never sees a plaintext."""
