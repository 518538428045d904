"""GitLab's REST API, as far as a package registry needs it: JSON and form bodies in, GitLab's shapes, pages and envelopes out."""
