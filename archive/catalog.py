"""The catalog: what Huikan knows. One database, a desk for each kind of question.

    arrivals    what recorders put, and what became of it
    outputs     what was made from a recording, and what stands in the way
    encodings   its ladder in the making, task by task
    transcripts what was said in it, edition by edition, and what teachers corrected
    lessons     what people may see
    timetables  what is taught where and when
    placements  which of it a recording was found to be
    lives       recordings that are still being made
    receipts    what a sender may know of what it sent
    indexing    which lessons are to be indexed anew, and which index is searched
    recorders   schools, rooms, the machines in them, and how each is doing
    hints       where the store's events say that something was put
    uploads     teachers' own files on their way from a browser

Every public method of a desk is one transaction.
"""

from archive.arrivals import Arrivals
from archive.database import Database
from archive.encodings import Encodings
from archive.hints import Hints
from archive.indexing import Indexing
from archive.lessons import Lessons
from archive.live import Lives, Receipts
from archive.outputs import Outputs
from archive.placements import Placements
from archive.recorders import Recorders
from archive.timetables import Timetables
from archive.transcripts import Transcripts
from archive.uploads import Uploads


class Catalog:
    """Open it with a SQLAlchemy address; `migrate` before first use. `close` gives the connections back."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.arrivals = Arrivals(self.database)
        self.outputs = Outputs(self.database)
        self.encodings = Encodings(self.database)
        self.transcripts = Transcripts(self.database)
        self.lessons = Lessons(self.database)
        self.timetables = Timetables(self.database)
        self.placements = Placements(self.database)
        self.lives = Lives(self.database)
        self.receipts = Receipts(self.database)
        self.indexing = Indexing(self.database)
        self.recorders = Recorders(self.database)
        self.hints = Hints(self.database)
        self.uploads = Uploads(self.database)

    def migrate(self) -> None:
        self.database.migrate()

    def close(self) -> None:
        self.database.close()
