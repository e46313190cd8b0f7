"""Real faults on real processes, each seen, repaired or given up within a stated bound, with the times measured.

``python -m examples.demo_levers`` runs all of them and prints a timeline and a table. The processes are those of the
reference app: its provider under a supervisor, and its summary workers on their queue.
"""
