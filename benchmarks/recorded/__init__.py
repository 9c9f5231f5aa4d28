"""What benchmarks with settings, parts and a record share: measuring, goals, pages, commands."""
