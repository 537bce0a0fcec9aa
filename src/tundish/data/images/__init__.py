"""Pictures of parts: what lies in a folder, and what each picture shows.

``folder`` sorts the files, ``boxes`` reads labels, ``look`` decodes one picture (in a
child process: foreign bytes), ``looking`` runs the children.
"""
