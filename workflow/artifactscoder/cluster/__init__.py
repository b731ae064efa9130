"""What a Slurm cluster needs: images, a look ahead, jobs of several nodes or partitions, a look at what runs."""
