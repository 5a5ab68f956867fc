"""One observer per upstream, under a lease: branches, images, Argo CD applications, Tekton runs."""
