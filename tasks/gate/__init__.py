"""The verdict: may the cheap model take the teacher's place?"""
