"""Who somebody is: signing in by password or through OpenID Connect, groups, sessions, too many attempts."""
