"""What every HTTP process shares: the server, the middleware, the answers."""
