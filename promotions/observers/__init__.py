"""One observer per upstream, under a lease: Git branches, registry images, Argo CD applications, Tekton runs."""
